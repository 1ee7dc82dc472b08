--! uses job, ends, data
-- Store data under a key.
--
-- ARGV: key, value, seconds that it is kept ('': for ever), '1' if only where there is none.
-- Returns whether it was stored.
-- Writes data or revoked, data_until.

local name, value, ttl, new = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if new == '1' and datum(name) then
    return 0
end
redis.call('HSET', home(name), name, value)
if ttl == '' then
    redis.call('ZREM', key('data_until'), name)
else
    redis.call('ZADD', key('data_until'), string.format('%.6f', tonumber(now()) + tonumber(ttl)), name)
end
return 1
