--! uses job, ends, ticks, release
-- Enqueue the job of a waiting tick, if its turn has come.
--
-- ARGV: schedule, due, then the job's values (see lib/store.lua).
-- Returns whether it was this job: the same one may be asked for again.
-- Reads workers, held:<worker>, running, retrying; writes what run_tick.lua does; tells `wake`.

local schedule, due, job = ARGV[1], ARGV[2], job_from(ARGV, 3)
local tick, before = tick_at(schedule, due)
if tick and tick[FATE] == 'enqueued' then
    return tick[JOB] == job.id and 1 or 0
end
local first = redis.call('ZRANGE', key('turns', schedule), 0, 0)[1]
if not first or tonumber(first) ~= tonumber(due) or not tick or of_schedule('paused_at', schedule) or unfinished_of(schedule) then
    return 0
end
local enqueued = enqueue_tick(schedule, tick, job, before)
leave_turns(schedule, due)
return enqueued and 1 or 0
