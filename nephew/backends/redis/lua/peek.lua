--! uses job, ends, data
-- Data and results of jobs.
--
-- ARGV: keys.
-- Returns for each its value, or nil.
-- Reads data, revoked, data_until, jobs, slots, ends:<slot>.

local found = {}
for i, name in ipairs(ARGV) do
    found[i] = datum(name) or result_of(name)
end
return found
