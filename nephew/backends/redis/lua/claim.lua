--! uses job, claims
-- Give a worker jobs that wait, the most urgent first.
--
-- ARGV: worker, claim, limit, how many queues are named (0: all are meant), their names, then ids if only these
-- are meant, wherever they wait.
-- Returns 1 if there are revocations, plus 2 for each place in a queue that had no record and was dropped; then for
-- each job id, record, marks and why its end was asked for. What the claim took before, if it is repeated. Nil when
-- the worker is not registered.
-- Reads workers, jobs, marks, stops, revoked, narrow; writes held:<worker>, q:<queue>, queues, bell, bell:<queue> and,
-- by id, scheduled, retrying, parked, marks.

local worker, claim, limit, named = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('HEXISTS', key('workers'), worker) == 0 then
    return false
end
redis.call('HLEN', key('jobs'))  -- if it is of the wrong type, nothing is taken

local function take_named()
    local ids = {}
    for i = 5 + named, #ARGV do
        local id = ARGV[i]
        local was = redis.call('HEXISTS', key('jobs'), id) == 1 and not holder(id) and take_out(id)
        if was then
            ids[#ids + 1] = id
            if was ~= 'queued' then
                local marks = marks_of(id)
                marks.was = was
                write_marks(id, marks)
            end
        end
    end
    return ids
end

-- The heads of several queues, read a few at a time.
local function heads(queues)
    local found = {}
    for _, queue in ipairs(queues) do
        local head = {queue = queue, line = key('q', queue), at = 1, read = 0, list = {}, taken = {}}
        function head.peek()
            if head.at > #head.list then
                if head.list.last then
                    return nil
                end
                local more = try('ZRANGE', head.line, head.read, head.read + 15, 'WITHSCORES') or {}
                head.read, head.at, head.list = head.read + #more / 2, 1, more
                more.last = #more < 32
                if #more == 0 then
                    return nil
                end
            end
            return tonumber(head.list[head.at + 1]), head.list[head.at]
        end
        found[#found + 1] = head
    end
    return found
end

local function merged(queues)
    local tickets, all = {}, heads(queues)
    while #tickets < limit do
        local best, score, ticket_
        for _, head in ipairs(all) do
            local s, t = head.peek()
            if s and (not best or s < score or (s == score and place_on(t) < place_on(ticket_))) then
                best, score, ticket_ = head, s, t
            end
        end
        if not best then
            break
        end
        best.at = best.at + 2
        best.taken[#best.taken + 1] = ticket_
        tickets[#tickets + 1] = ticket_
    end
    for _, head in ipairs(all) do
        if #head.taken > 0 then
            many('ZREM', head.line, head.taken)
        end
    end
    return tickets
end

local function wanted_queues()
    local there = redis.call('SMEMBERS', key('queues'))
    if named == 0 then
        return there
    end
    local wanted, found = {}, {}
    for i = 5, 4 + named do
        wanted[ARGV[i]] = true
    end
    for _, queue in ipairs(there) do
        if wanted[queue] then
            found[#found + 1] = queue
        end
    end
    return found
end

-- The first jobs of the queues, and the queues that still have some.
local function take_first()
    local queues = wanted_queues()
    local tickets, more = {}, {}
    if #queues == 1 then
        local popped = try('ZPOPMIN', key('q', queues[1]), limit) or {}
        for i = 1, #popped, 2 do
            tickets[#tickets + 1] = popped[i]
        end
    elseif #queues > 1 then
        tickets = merged(queues)
    end
    for _, queue in ipairs(queues) do
        local left = try('ZCARD', key('q', queue))
        if left == 0 then
            redis.call('SREM', key('queues'), queue)
        elseif left and #tickets > 0 then
            more[#more + 1] = queue
        end
    end
    local ids = {}
    for i, each in ipairs(tickets) do
        ids[i] = id_on(each)
    end
    return ids, more
end

local ids, more = held_by(worker, claim)
if #ids > 0 then
    return (told_of(ids))
end
if #ARGV > 4 + named then
    ids = take_named()
else
    ids, more = take_first()
end
if #ids == 0 then
    return {0}
end
local reply, known = told_of(ids)
hold(worker, claim, known)
for _, queue in ipairs(more or {}) do
    ring(queue)  -- somebody idle should look
end
return reply
