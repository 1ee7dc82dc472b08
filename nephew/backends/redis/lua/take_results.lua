--! uses job, ends, data
-- Take results of jobs; how they ended stays known.
--
-- ARGV: ids.
-- Returns for each its result, or nil.
-- Reads jobs, slots; writes ends:<slot>.

local taken = {}
for i, id in ipairs(ARGV) do
    taken[i] = take_result(id)
end
return taken
