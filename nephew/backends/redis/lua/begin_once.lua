--! uses job, claims, events, running
-- Note the only begin of a job.
--
-- ARGV: worker, place, claim, since when, most events kept.
-- Returns 1; 0 when the claim does not hold.
-- Reads held:<worker>, jobs; writes running, once, event, events.

local id = held_at(ARGV[1], ARGV[2], ARGV[3])
if not id then
    return 0
end
local event = begin(id, ARGV[4])
redis.call('SADD', key('once'), id)
tell_events({event}, ARGV[5], now())
return 1
