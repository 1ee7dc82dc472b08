--! uses job, ends, store
-- Enqueue the job of a schedule's due time, once.
--
-- ARGV: schedule, due, then the job's values (see lib/store.lua).
-- Returns whether it was this job: the same one may be asked for again.
-- {name}:ticks:<schedule>  zset  due -> "<due> <id>"
-- {name}:schedules         set   the schedules that have ticks
-- Writes what enqueue.lua writes as well; tells `wake`.

local schedule, due = ARGV[1], ARGV[2]
local ticks, job = key('ticks', schedule), job_from(ARGV, 3)
local tick = due .. ' ' .. job.id
local written = redis.call('ZRANGEBYSCORE', ticks, due, due)[1]
if written then
    return written == tick and 1 or 0
end
redis.call('SADD', key('schedules'), schedule)
store({job})
redis.call('ZADD', ticks, due, tick)
return 1
