-- Note that workers live.
--
-- ARGV: their incarnations.
-- Returns the keys of a wrong type that scripts have come upon since this was asked last.
-- Reads incarnations; writes beats, broken.

local moment = now()
for _, incarnation in ipairs(ARGV) do
    local number = redis.call('HGET', key('incarnations'), incarnation)
    if number then
        redis.call('HDEL', key('beats'), number)  -- first, since a full server refuses a script that begins with more
        redis.call('HSET', key('beats'), number, moment)
    end
end

local broken = try('SMEMBERS', key('broken')) or {}
redis.call('DEL', key('broken'))
return broken
