--! uses job, ends, drop
-- Delete jobs with all that belongs to them.
--
-- ARGV: the states that they have to be in, each between blanks ('': any), then ids.
-- Returns how many.
-- Reads workers, slots, related; writes jobs, marks, q:<queue>, queues, scheduled, retrying, parked, held:<worker>, running,
-- once, stops, expiring, interim, unique, keyof, ended:<state>, ends:<slot>, attempts:<id>, logs:<id>, kin:<id>,
-- members:<chord>, chord:<chord>, callbacks, revoked, data_until.

local states, gone, seen = ARGV[1], {}, {}

-- Take an unfinished job out of the queue, or out of the hand that holds it.
local function end_its_life(id, worker)
    if worker then
        redis.call('HDEL', key('held', worker), id)
        redis.call('HDEL', key('running'), id)
        redis.call('SREM', key('once'), id)
    else
        take_out(id)
    end
    over({id})
end

for i = 2, #ARGV do
    local id = ARGV[i]
    local state, worker = locate(id)
    if state and not seen[id] and (states == '' or string.find(states, ' ' .. state .. ' ', 1, true)) then
        if not ended_as(id) then
            end_its_life(id, worker)
        end
        seen[id] = true
        gone[#gone + 1] = id
    end
end
drop(gone)
return #gone
