--! uses job, ends, store, moves
-- Store a job in the schedule, even if it is due.
--
-- ARGV: '1' if it may have been done before, else ''; the job's values (see lib/store.lua).
-- Writes what enqueue.lua writes, and retrying; tells `wake`.

local job = job_from(ARGV, 2)
store({job}, ARGV[1] == '1')
if waits_in(job.id) == 'queued' then
    take_out(job.id)
    redis.call('ZADD', key('scheduled'), job.eta ~= '' and job.eta or now(), job.id)
    tell_schedule()
end
