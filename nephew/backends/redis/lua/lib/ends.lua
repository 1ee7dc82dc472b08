--! uses states, slots
-- How jobs ended, kept for as long as their results are, whatever becomes of their records.
--
-- {name}:interim      set   ids of unfinished jobs that have an end there: the error of an earlier attempt
-- {name}:order        list  ids in the order of their ends; history is cut at its head
-- {name}:attempts:<id>  list  JSON of the attempts that did not end well
-- {name}:logs:<id>    hash  attempt -> JSON of what it logged
-- {name}:chord:<chord>  hash  position -> value of a member that has ended; one that runs twice counts once
-- {name}:callbacks    hash  id of a chord's callback -> chord

-- How a job ended, and the slot that says so; nil when it is not kept. An id may be that of another job by now: an end
-- begins with the place that its job had.
local function end_of(id)
    local record = redis.call('HGET', key('jobs'), id)
    local place = record and string.match(record, '^%d+')
    for _, slot in ipairs(slots()) do
        local found = redis.call('HGET', slot, id)
        local its = found and string.match(found, '^{"place":(%d+)')
        if found and (not place or not its or its == place) then
            return found, slot
        end
    end
    return nil
end

-- These jobs are not unfinished any more: nobody asks for their end, nor do they keep others out.
local function over(gone)
    if #gone == 0 then
        return
    end
    if redis.call('EXISTS', key('stops')) == 1 then
        many('HDEL', key('stops'), gone, try)
    end
    if redis.call('EXISTS', key('expiring')) == 1 then
        many('ZREM', key('expiring'), gone, try)
    end
    if redis.call('EXISTS', key('interim')) == 1 then
        for _, id in ipairs(gone) do
            if try('SREM', key('interim'), id) == 1 then
                drop_end(id)
            end
        end
    end
    if redis.call('EXISTS', key('keyof')) == 1 then
        for i, unique in ipairs(read(key('keyof'), gone, try)) do
            if unique then
                if try('HGET', key('unique'), unique) == gone[i] then
                    redis.call('HDEL', key('unique'), unique)
                end
                redis.call('HDEL', key('keyof'), gone[i])
            end
        end
    end
end

-- Delete the records of jobs and what belongs to them, but for how they ended.
local function forget_records(ids)
    if #ids == 0 then
        return
    end
    if redis.call('EXISTS', key('marks')) == 1 then
        local marks = read(key('marks'), ids, try)
        for i, id in ipairs(ids) do
            if marks[i] then
                redis.call('UNLINK', key('attempts', id), key('logs', id))
            end
        end
        many('HDEL', key('marks'), ids, try)
    end
    if redis.call('EXISTS', key('callbacks')) == 1 then
        for i, chord in ipairs(read(key('callbacks'), ids, try)) do
            if chord then
                redis.call('UNLINK', key('chord', chord), key('kin', chord), key('members', chord))
                redis.call('HDEL', key('callbacks'), ids[i])
            end
        end
    end
    if redis.call('EXISTS', key('related')) == 1 then
        for _, id in ipairs(ids) do
            redis.call('UNLINK', key('kin', id))
        end
    end
    many('HDEL', key('jobs'), ids)
end

-- Delete all that is known of jobs, but how they ended; `ids` are not waiting and not held.
local function forget(ids)
    for _, state in ipairs(ENDED) do
        many('ZREM', key('ended', state), ids, try)
    end
    forget_records(ids)
end

-- Note that jobs have ended; `ended` by state: place, id, place, id …
local function file(ended, order, most)
    for state, places in pairs(ended) do
        many('ZADD', key('ended', state), places, try)
    end
    if not many('RPUSH', key('order'), order, try) then
        return
    end
    local excess = redis.call('LLEN', key('order')) - tonumber(most)
    if excess <= 0 then
        return
    end
    -- One may have been put back into the queue since, or deleted.
    for state, ids in pairs(ended_among(redis.call('LPOP', key('order'), excess))) do
        many('ZREM', key('ended', state), ids, try)
        forget_records(ids)
    end
end
