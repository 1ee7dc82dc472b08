--! uses job, claims
-- Give a worker jobs by their ids, wherever they wait.
--
-- ARGV: worker, claim, ids.
-- Returns what claim.lua returns.
-- Reads workers, jobs, stops, revoked; writes held:<worker>, q:<queue>, queues, scheduled, retrying, parked, marks.

local worker, claim = ARGV[1], ARGV[2]
if redis.call('HEXISTS', key('workers'), worker) == 0 then
    return false
end

local ids = held_by(worker, claim)
if #ids > 0 then
    return (told_of(ids))
end
for i = 3, #ARGV do
    local id = ARGV[i]
    local was = redis.call('HEXISTS', key('jobs'), id) == 1 and not holder(id) and take_out(id)
    if was then
        ids[#ids + 1] = id
        if was ~= 'queued' then
            local marks = marks_of(id)
            marks.was = was
            write_marks(id, marks)
        end
    end
end
if #ids == 0 then
    return {0, 1, 0, {}, {}, {}}
end
local reply, known = told_of(ids)
hold(worker, claim, known)
return reply
