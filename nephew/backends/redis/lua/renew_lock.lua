-- Prolong a lock that is still its owner's.
--
-- ARGV: lock, owner, seconds that it is held from now on.
-- Returns whether it was the owner's.
-- Writes lock:<lock>.

local lock, moment = key('lock', ARGV[1]), tonumber(now())
local held = redis.call('HMGET', lock, 'owner', 'expires_at')
if held[1] ~= ARGV[2] or tonumber(held[2]) <= moment then
    return 0
end
redis.call('HDEL', lock, 'expires_at')  -- a full server lets a script write that has freed something
redis.call('HSET', lock, 'expires_at', string.format('%.6f', moment + tonumber(ARGV[3])))
redis.call('EXPIREAT', lock, math.ceil(moment + tonumber(ARGV[3])) + 1)
return 1
