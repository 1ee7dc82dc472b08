--! uses job, ends, data
-- Which of some jobs have ended, or are unknown and have data under their ids; of the others it will be told.
--
-- ARGV: seconds that it will be told of them, seconds that it will be told of every event or '', ids.
-- Returns ids.
-- Reads jobs, ended:<state>, slots, ends:<slot>, data, revoked, data_until; writes awaited, followed.

local there, missing = {}, {}
for i = 3, #ARGV do
    local id = ARGV[i]
    local ended
    if redis.call('HEXISTS', key('jobs'), id) == 1 then
        ended = ended_as(id)
    else
        ended = end_of(id) or datum(id)
    end
    local list = ended and there or missing
    list[#list + 1] = id
end
-- A full server may refuse these: then whoever waits has to look by himself.
for start = 1, #missing, MOST do
    server.pcall('SADD', key('awaited'), unpack(missing, start, math.min(start + MOST - 1, #missing)))
end
if #missing > 0 then
    server.pcall('EXPIRE', key('awaited'), ARGV[1])
end
if ARGV[2] ~= '' then
    server.pcall('SET', key('followed'), '1', 'EX', ARGV[2])
end
return there
