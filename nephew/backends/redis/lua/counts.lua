--! uses job, held
-- How many jobs are in each state.
--
-- Returns state, how many, state …; last how many of the queued ones nobody holds.
-- Reads queues, q:<queue>, scheduled, retrying, parked, ended:<state>, workers, held:<worker>, running, marks.

local counts = {queued = 0}
for _, queue in ipairs(redis.call('SMEMBERS', key('queues'))) do
    counts.queued = counts.queued + redis.call('ZCARD', key('q', queue))
end
local waiting = counts.queued
for _, word in ipairs({'scheduled', 'retrying', 'parked'}) do
    counts[word] = redis.call('ZCARD', key(word))
end
for _, state in ipairs(ENDED) do
    counts[state] = redis.call('ZCARD', key('ended', state))
end
local held = all_held()
local running = read(key('running'), held)
for i, id in ipairs(held) do
    local state = running[i] and 'running' or marks_of(id).was or 'queued'
    counts[state] = (counts[state] or 0) + 1
end

local reply = {}
for state, count in pairs(counts) do
    reply[#reply + 1] = state
    reply[#reply + 1] = count
end
reply[#reply + 1] = waiting
return reply
