--! uses job, ends, ticks, release
-- Write a tick by hand and enqueue its job.
--
-- ARGV: '1' if it may have been done before, else ''; schedule, due, why, then the job's values (see lib/store.lua).
-- Returns its fate.
-- Reads ticks:<schedule>; writes ticks:<schedule>, ledgers, filed, open, turns, plan:<what> and what enqueue.lua
-- writes; tells `wake`.

local again, schedule, due, reason, job = ARGV[1] == '1', ARGV[2], ARGV[3], ARGV[4], job_from(ARGV, 5)
local written = tick_at(schedule, due)
if written and again then
    return written[FATE]
end
while tick_at(schedule, due) do
    due = string.format('%.6f', tonumber(due) + 1e-5)
end
local tick = {due, 'enqueued', reason, '', '', now(), '', ''}
enqueue_tick(schedule, tick, job)
return tick[FATE]
