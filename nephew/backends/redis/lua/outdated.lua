--! uses job, ends
-- The places of jobs that ended too long ago or are too many, in order, up to the first that is too young for
-- anything behind it to be outdated.
--
-- ARGV: state; ended before when, and up to which place; behind which place to look, and at how many.
-- Returns behind which place to look next (0: nothing there is outdated), then the places.
-- Reads ended:<state>, jobs, slots, ends:<slot>.

local state, before, upto, after, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local found = redis.call('ZRANGEBYSCORE', key('ended', state), '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
local moment = tonumber(now())

-- When a job was enqueued, and when it ended; where that is not kept any longer, it ended as early as it could.
local function times(id)
    local _, enqueued = parts(redis.call('HGET', key('jobs'), id) or '')
    enqueued = tonumber(enqueued or 0)
    local kept = end_of(id)
    return enqueued, tonumber(kept and string.match(kept, '"finished_at":([^,}]+)')) or enqueued
end

local reply = {#found == 2 * limit and tonumber(found[#found]) or 0}
for i = 1, #found, 2 do
    local place = tonumber(found[i + 1])
    local enqueued, finished = times(found[i])
    if before <= enqueued and enqueued <= moment and place > upto then
        reply[1] = 0
        break
    end
    if finished < before or place <= upto then
        reply[#reply + 1] = place
    end
end
return reply
