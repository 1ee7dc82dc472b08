--! uses job
-- Put parked jobs back into their queues, at their old places.
--
-- ARGV: how their reason has to begin, how many tasks are meant (0: all are), their names, ids.
-- Returns how many were put back.
-- Reads jobs, narrow; writes parked, marks, q:<queue>, queues, bell, bell:<queue>.

local reason, named = ARGV[1], tonumber(ARGV[2])
local tasks = {}
for i = 3, 2 + named do
    tasks[ARGV[i]] = true
end

local count = 0
for i = 3 + named, #ARGV do
    local id = ARGV[i]
    local place, queue, priority, marks, head = standing(id)
    local meant = place and (named == 0 or tasks[head[1]]) and string.sub(marks.reason or '', 1, #reason) == reason
    if meant and redis.call('ZREM', key('parked'), id) == 1 then
        marks.reason = nil
        write_marks(id, marks)
        line_up(id, place, queue, priority)
        count = count + 1
    end
end
return count
