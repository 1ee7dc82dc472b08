-- The locks that are held.
--
-- Returns for each its name, owner, label, fence, when it was acquired and when it expires.
-- Reads lock:<lock>; drops from locks what has expired.

local found, moment = {}, tonumber(now())
for _, name in ipairs(redis.call('SMEMBERS', key('locks'))) do
    local held = redis.call('HMGET', key('lock', name), 'owner', 'label', 'fence', 'acquired_at', 'expires_at')
    if held[1] and tonumber(held[5]) > moment then
        found[#found + 1] = {name, unpack(held)}
    else
        redis.call('SREM', key('locks'), name)
    end
end
return found
