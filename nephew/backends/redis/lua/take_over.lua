--! uses job, claims, workers
-- Give a worker the jobs that are nobody's, to end them.
--
-- ARGV: worker, claim.
-- Returns what claim.lua returns, and the ids of those that may begin only once; the same when it is repeated.
-- Reads workers, jobs, marks, stops, revoked, once; writes held:0, held:<worker>.

local heir, claim = ARGV[1], ARGV[2]
local ids = redis.call('HKEYS', key('held', NOBODY))
if #ids > 0 and is_known(heir) then
    redis.call('DEL', key('held', NOBODY))
    hold(heir, claim, ids)
end
return inherited(held_by(heir, claim))
