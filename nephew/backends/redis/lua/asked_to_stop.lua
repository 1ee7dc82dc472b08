--! uses job, claims
-- Whose end is asked for, of what a worker holds.
--
-- ARGV: worker.
-- Returns for each {place, claim, reason}.
-- Reads stops, held:<worker>, jobs.

local asked = {}
if redis.call('EXISTS', key('stops')) == 0 then
    return asked
end
local held = redis.call('HGETALL', key('held', ARGV[1]))
for i = 1, #held, 2 do
    local reason = redis.call('HGET', key('stops'), held[i])
    if reason then
        asked[#asked + 1] = {place_of(held[i]), held[i + 1], reason}
    end
end
return asked
