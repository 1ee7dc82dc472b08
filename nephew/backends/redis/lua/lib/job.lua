--! uses states, tickets
-- A job: its record, what became of it since, and where it is.
--
-- {name}:jobs       hash    id -> record: "<place> <enqueued at>\n<head>\n<payload>"; head is a JSON array of task,
--                           queue, priority, eta, unique key, chord, expires at, parent, relation, member, tags,
--                           redacted, without the nulls at its end
-- {name}:marks      hash    id -> JSON object of what has changed since it was stored; numbers as text
-- {name}:queues     set     the queues that jobs wait in
-- {name}:q:<queue>  zset    minus priority -> place as eight bytes, and id
-- {name}:scheduled, {name}:retrying  zset  eta -> id
-- {name}:parked     zset    place -> id
-- {name}:workers    hash    number -> JSON of its registration
-- {name}:held:<worker>  hash  id -> claim; worker 0 is nobody: jobs that somebody has to end, their worker is gone
-- {name}:running    hash    id -> since when; held jobs that are known to run
-- {name}:once       set     ids of held jobs that may not be begun again
-- {name}:stops      hash    id -> why its end was asked for
-- {name}:unique     hash    unique key -> id; {name}:keyof  hash  id -> unique key
-- {name}:expiring   zset    expires at -> id; of unfinished jobs

-- Place, time of enqueueing, head and payload of a record; nil when it is none.
local function parts(record)
    local place, enqueued, head, rest = string.match(record, '^(%d+) ([%d.]+)\n([^\n]*)\n()')
    if not place then
        return nil
    end
    local good, values = pcall(cjson.decode, head)
    if not good or type(values) ~= 'table' then
        return nil
    end
    return tonumber(place), enqueued, head, values, rest
end

local function marks_of(id)
    local stored = try('HGET', key('marks'), id)
    if not stored then
        return {}
    end
    local good, marks = pcall(cjson.decode, stored)
    return good and type(marks) == 'table' and marks or {}
end

local function write_marks(id, marks)
    if next(marks) == nil then
        try('HDEL', key('marks'), id)
    else
        try('HSET', key('marks'), id, cjson.encode(marks))
    end
end

-- What of a job's head may have been changed since: queue, priority, expiry. Its place, queue, priority, marks and
-- head.
local function standing(id)
    local record = redis.call('HGET', key('jobs'), id)
    if not record then
        return nil
    end
    local place, _, _, head = parts(record)
    local marks = marks_of(id)
    if not place then  -- bytes that are no record: they are kept in front of the default queue's others
        return 0, 'default', 0, marks, {}
    end
    return place, marks.queue or head[2], tonumber(marks.priority or head[3] or 0), marks, head
end

-- Keep a job that cannot wait where it belongs, since that key is of the wrong type.
local function park(id, where)
    local place, _, _, marks = standing(id)
    marks.reason = 'the key ' .. where .. ' is of the wrong type'
    write_marks(id, marks)
    try('ZADD', key('parked'), place, id)
end

-- Put a job into its queue, at its place.
local function line_up(id, place, queue, priority)
    local line = key('q', queue)
    if not try('ZADD', line, -priority, ticket(place, id)) then
        park(id, line)
        return
    end
    try('SADD', key('queues'), queue)
    if redis.call('ZCARD', line) == 1 then
        ring({queue})
    end
end

-- Let a job wait for its time, as `scheduled` or `retrying`.
local function wait_until(eta, word, id)
    if try('ZADD', key(word), eta, id) then
        tell_schedule()
    else
        park(id, key(word))
    end
end

local function leave_line(id, place, queue)
    local line = key('q', queue)
    local left = try('ZREM', line, ticket(place, id))
    if left == 1 and redis.call('ZCARD', line) == 0 then
        try('SREM', key('queues'), queue)
    end
    return left == 1
end

-- The worker that holds a job, and its claim; nil when nobody does.
local function holder(id)
    local workers = redis.call('HKEYS', key('workers'))
    workers[#workers + 1] = '0'
    for _, worker in ipairs(workers) do
        local claim = redis.call('HGET', key('held', worker), id)
        if claim then
            return worker, claim
        end
    end
    return nil
end

-- Where a job is: its state, and the worker and claim that hold it. nil: there is no such job.
local function locate(id)
    if redis.call('HEXISTS', key('jobs'), id) == 0 then
        return nil
    end
    local ended = ended_as(id)
    if ended then
        return ended
    end
    local state
    for _, word in ipairs({'scheduled', 'retrying', 'parked'}) do
        if try('ZSCORE', key(word), id) then
            state = word
        end
    end
    local worker, claim = holder(id)
    if worker then
        -- A claim by id may hold a job that was not in its queue; its state stays what it was.
        local was = marks_of(id).was
        return try('HEXISTS', key('running'), id) == 1 and 'running' or was or 'queued', worker, claim
    end
    return state or 'queued'
end

-- Take a waiting job from where it waits.
local function take_out(id)
    local place, queue = standing(id)
    if not place then
        return false
    end
    if leave_line(id, place, queue) then
        return 'queued'
    end
    for _, word in ipairs({'scheduled', 'retrying', 'parked'}) do
        if try('ZREM', key(word), id) == 1 then
            return word
        end
    end
    return false
end

-- A counter that a script will need.
local function need_number(counter)
    if not tonumber(redis.call('GET', key(counter)) or 0) then
        error('WRONGTYPE no number [' .. key(counter) .. ']', 0)
    end
end

-- The next `count` places or numbers of events; the last of them.
local function advance(counter, count)
    return redis.call('INCRBY', key(counter), count)
end
