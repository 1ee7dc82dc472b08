--! uses job, claims, moves
-- Move due jobs to their queues, in the order of their times, then of their places.
--
-- ARGV: moment, the most jobs to be moved.
-- Returns how many were moved.
-- Reads narrow; writes scheduled, retrying, parked, marks, place, jobs, q:<queue>, queues, bell, bell:<queue>.

local moment, limit = ARGV[1], tonumber(ARGV[2])

local due = {}
for _, word in ipairs({'scheduled', 'retrying'}) do
    local found = try('ZRANGEBYSCORE', key(word), '-inf', moment, 'WITHSCORES', 'LIMIT', 0, limit) or {}
    for i = 1, #found, 2 do
        local id, eta = found[i], found[i + 1]
        due[#due + 1] = {id = id, eta = tonumber(eta), place = tonumber(place_of(id)), word = word}
    end
end
table.sort(due, function(one, other)
    if one.eta == other.eta then
        return one.place < other.place
    end
    return one.eta < other.eta
end)
local moved = math.min(#due, limit)
for i = 1, moved do
    redis.call('ZREM', key(due[i].word), due[i].id)
    to_the_back(due[i].id)
end
return moved
