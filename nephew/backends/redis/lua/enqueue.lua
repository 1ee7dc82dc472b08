--! uses job, ends, store
-- Store jobs, all or none.
--
-- ARGV: '1' if it may have been done before, else ''; then for each job its values (see lib/store.lua).
-- Returns for each job {id, 1 if that is another job's}.
-- Reads slots, narrow; writes place, jobs, q:<queue>, queues, bell, bell:<queue>, scheduled, parked, marks, unique,
-- keyof, expiring, kin:<id>, related, members:<chord>; where a job had ended, also ended:<state>, ends:<slot>, order,
-- attempts:<id>, logs:<id>, callbacks, chord:<chord>; tells `wake`.

local jobs = {}
for first = 2, #ARGV, VALUES do
    jobs[#jobs + 1] = job_from(ARGV, first)
end
return store(jobs, ARGV[1] == '1')
