--! uses states, stream, data
-- Whether a job has ended, or is unknown and has data under its id; if not, its end will be told (see lib/stream.lua).
--
-- ARGV: id, seconds that it will be told of.
-- Returns nil if it has not, else how, as it would be told.
-- Reads jobs, ended:<state>, slots, ends:<slot>, data, revoked, data_until; writes expected, told:<id>.

local id, is_known = ARGV[1], redis.call('HEXISTS', key('jobs'), ARGV[1]) == 1
if (is_known and ended_as(id)) or (not is_known and (end_of(id) or datum(id))) then
    return end_told(id)
end
redis.call('UNLINK', key('told', id))  -- it was of a former end
try('SADD', key('expected'), id)
redis.call('EXPIRE', key('expected'), ARGV[2])
return false
