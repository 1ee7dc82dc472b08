--! uses tickets, heap, claims
-- Give a worker jobs that wait in queues, the most urgent first.
--
-- ARGV: worker, claim, limit, then queues if only these are meant.
-- Returns what `told_of` says (see lib/claims.lua); places in a queue that had no record are dropped. What the claim
-- took before, if it is repeated. Nil when the worker is not registered.
-- Reads workers, jobs, marks, stops, revoked, narrow; writes taken, held:<worker>, q:<queue>, queues, bell,
-- bell:<queue>.

local worker, claim, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('HEXISTS', key('workers'), worker) == 0 then
    return false
end
redis.call('HLEN', key('jobs'))  -- if it is of the wrong type, nothing is taken

local function wanted_queues()
    local there = redis.call('SMEMBERS', key('queues'))
    if #ARGV == 3 then
        return there
    end
    local wanted, found = {}, {}
    for i = 4, #ARGV do
        wanted[ARGV[i]] = true
    end
    for _, queue in ipairs(there) do
        if wanted[queue] then
            found[#found + 1] = queue
        end
    end
    return found
end

-- The first jobs of a queue, and whether it has more.
local function taken_from(queue)
    local tickets, popped = {}, try('ZPOPMIN', key('q', queue), limit) or {}
    for i = 1, #popped, 2 do
        tickets[#tickets + 1] = popped[i]
    end
    local left = try('ZCARD', key('q', queue))
    if left == 0 then
        redis.call('SREM', key('queues'), queue)
    end
    return tickets, left and left > 0 and #tickets > 0 and {queue} or {}
end

-- The first jobs of several queues, and those of them that have more.
local function merged(queues)
    local tickets, more, heap = {}, {}, heap_of(queues, math.ceil(limit / #queues) + 1)
    while #tickets < limit and #heap > 0 do
        local head = heap[1]
        tickets[#tickets + 1] = head.ticket
        head.taken = head.taken + 1
        follow(heap)
    end
    for _, head in ipairs(heap.all) do
        if head.taken > 0 then
            redis.call('ZREMRANGEBYRANK', head.line, 0, head.taken - 1)
        end
        if not head.ticket then
            redis.call('SREM', key('queues'), head.queue)
        elseif #tickets > 0 then
            more[#more + 1] = head.queue
        end
    end
    return tickets, more
end

local function take_first()
    local queues = wanted_queues()
    if #queues == 1 then
        return taken_from(queues[1])
    end
    return merged(queues)
end

local last = tonumber(redis.call('HGET', key('taken'), worker) or claim)
local before = tonumber(claim) <= last and held_by(worker, claim) or {}
if #before > 0 then
    return (told_of(before))
end
local tickets, more = take_first()
if #tickets == 0 then
    return {0, 1, 0, {}}
end
local ids = {}
for i, each in ipairs(tickets) do
    ids[i] = id_on(each)
end
local reply, known = told_of(ids, true)
hold(worker, claim, known)
redis.call('HSET', key('taken'), worker, math.max(last, claim))
ring(more)  -- somebody idle should look
return reply
