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

-- The ids of the first jobs of a queue, and whether it has more.
local function taken_from(queue)
    local line, ids, sub = key('q', queue), {}, string.sub
    local popped = try('ZPOPMIN', line, limit) or {}
    for i = 1, #popped / 2 do
        ids[i] = sub(popped[2 * i - 1], 9)  -- see `id_on`
    end
    local left = try('ZCARD', line)
    if left == 0 then
        redis.call('SREM', key('queues'), queue)
    end
    return ids, left and left > 0 and #ids > 0 and {queue} or {}
end

-- The ids of the first jobs of several queues, and those of them that have more.
local function merged(queues)
    local ids, more, heap = {}, {}, heap_of(queues, math.ceil(limit / #queues) + 1)
    while #ids < limit and #heap > 0 do
        local head = heap[1]
        ids[#ids + 1] = id_on(head.ticket)
        head.taken = head.taken + 1
        follow(heap)
    end
    for _, head in ipairs(heap.all) do
        if head.taken > 0 then
            redis.call('ZREMRANGEBYRANK', head.line, 0, head.taken - 1)
        end
        if not head.ticket then
            redis.call('SREM', key('queues'), head.queue)
        elseif #ids > 0 then
            more[#more + 1] = head.queue
        end
    end
    return ids, more
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
local ids, more = take_first()
if #ids == 0 then
    return {0, 1, 0, {}, {}, {}}
end
local reply, known = told_of(ids, true)
hold(worker, claim, known)
redis.call('HSET', key('taken'), worker, math.max(last, claim))
ring(more)  -- somebody idle should look
return reply
