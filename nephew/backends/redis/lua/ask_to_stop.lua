--! uses job
-- Ask for the end of a job that a worker holds.
--
-- ARGV: id, reason.
-- Returns 1; 0 when nobody holds it.
-- Reads workers, held:<worker>; writes stops.

if not holder(ARGV[1]) then
    return 0
end
redis.call('HSET', key('stops'), ARGV[1], ARGV[2])
return 1
