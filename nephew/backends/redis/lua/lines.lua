-- Those who wait in the queues: a line for each queue and each priority in it.
--
-- ARGV: the queue that is meant ('': all).
-- Returns for each line its queue, minus its priority, and who is the first in it (see `ticket` in lib/job.lua).
-- Reads queues, q:<queue>.

local lines = {}
local queues = ARGV[1] == '' and redis.call('SMEMBERS', key('queues')) or {ARGV[1]}
for _, queue in ipairs(queues) do
    local from = '-inf'
    while true do
        local first = redis.call('ZRANGEBYSCORE', key('q', queue), from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
        if #first == 0 then
            break
        end
        lines[#lines + 1] = {queue, first[2], first[1]}
        from = '(' .. first[2]
    end
end
return lines
