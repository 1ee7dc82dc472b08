-- The registered workers.
--
-- Returns for each {number, JSON of its registration, when it was last heard of}.
-- Reads workers, beats.

local found, all = {}, redis.call('HGETALL', key('workers'))
for i = 1, #all, 2 do
    found[#found + 1] = {all[i], all[i + 1], redis.call('HGET', key('beats'), all[i]) or '0'}
end
return found
