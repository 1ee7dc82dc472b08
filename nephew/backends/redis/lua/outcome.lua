--! uses job, ends
-- What became of a job, as those ask who wait for it.
--
-- ARGV: id.
-- Returns what is kept of its end (see lib/ends.lua) and, where that does not say it, its state and why it is in it;
-- nil for each that there is not.
-- Reads slots, ends:<slot>, jobs, marks, ended:<state>, scheduled, retrying, parked, workers, held:<worker>, running.

local id = ARGV[1]
local kept = end_of(id) or false
if kept and string.sub(kept, 1, 2) ~= '{}' then
    return {kept, false, false}
end
local state = locate(id)
return {kept, state or false, state and marks_of(id).reason or false}
