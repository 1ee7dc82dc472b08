--! uses job
-- Parked jobs behind a place, in order: fewer where they are large, since a record is only read whole.
--
-- ARGV: place, the most jobs.
-- Returns for each its place, id and task ('': none is known); at least one if there are any.
-- Reads parked, jobs.

local ENOUGH = 4 * 1024 * 1024  -- bytes
local found = try('ZRANGEBYSCORE', key('parked'), '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2]) or {}
local jobs, bytes = {}, 0
for i = 1, #found, 2 do
    local record = redis.call('HGET', key('jobs'), found[i]) or ''
    local _, _, _, head = parts(record)
    jobs[#jobs + 1] = {found[i + 1], found[i], head and type(head[1]) == 'string' and head[1] or ''}
    bytes = bytes + #record
    if bytes > ENOUGH then
        break
    end
end
return jobs
