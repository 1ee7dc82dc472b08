-- Let the places that are given go on behind those in the archive, where this server has lost what it knew.
--
-- ARGV: the last place in the archive.
-- Writes place.

if tonumber(redis.call('GET', key('place')) or 0) < tonumber(ARGV[1]) then
    redis.call('SET', key('place'), ARGV[1])
end
