-- The places of jobs.
--
-- ARGV: ids.
-- Returns for each its place; 0 for what is no job.
-- Reads jobs.

local places = {}
for i, record in ipairs(read(key('jobs'), ARGV)) do
    places[i] = tonumber(string.match(record or '', '^(%d+) ')) or 0
end
return places
