--! uses job
-- What a worker holds, to be compared with what is known of its death.
--
-- ARGV: worker.
-- Returns for each job {id, place, claim, task}.
-- Reads held:<worker>, jobs, marks.

local found, held = {}, redis.call('HGETALL', key('held', ARGV[1]))
for i = 1, #held, 2 do
    local place, _, _, _, head = standing(held[i])
    if place then
        found[#found + 1] = {held[i], place, held[i + 1], head[1] or ''}
    end
end
return found
