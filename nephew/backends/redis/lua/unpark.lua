--! uses job
-- Put parked jobs back into their queues, at their old places.
--
-- ARGV: ids.
-- Returns how many were put back.
-- Reads jobs, narrow; writes parked, marks, q:<queue>, queues, bell, bell:<queue>.

local count = 0
for _, id in ipairs(ARGV) do
    local place, queue, priority, marks = standing(id)
    if place and redis.call('ZREM', key('parked'), id) == 1 then
        marks.reason = nil
        write_marks(id, marks)
        line_up(id, place, queue, priority)
        count = count + 1
    end
end
return count
