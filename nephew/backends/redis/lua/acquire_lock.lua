-- Take a lock that nobody holds. (redis-py's own Lock knows no fencing number, no label and no list of locks.)
--
-- ARGV: lock, owner, label, seconds that it is held if it is not renewed.
-- Returns the fencing number; nil when somebody else holds it. The same owner may ask again.
-- {name}:lock:<lock>  hash    owner, label, fence, acquired_at, expires_at; goes with the lock, or a second after its time
-- {name}:locks        set     the locks that may be held
-- {name}:fence        string  the latest fencing number, of whatever lock

local name, owner = ARGV[1], ARGV[2]
local lock, moment = key('lock', name), now()
local held = redis.call('HMGET', lock, 'owner', 'expires_at')
if held[1] and held[1] ~= owner and tonumber(held[2]) > tonumber(moment) then
    return false
end
redis.call('SADD', key('locks'), name)  -- first: where it fails, nobody holds the lock
local fence, over = redis.call('INCR', key('fence')), tonumber(moment) + tonumber(ARGV[4])
redis.call('HSET', lock, 'owner', owner, 'label', ARGV[3], 'fence', fence, 'acquired_at', moment,
    'expires_at', string.format('%.6f', over))
redis.call('EXPIREAT', lock, math.ceil(over) + 1)
return fence
