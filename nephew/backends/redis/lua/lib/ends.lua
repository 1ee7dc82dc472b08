-- How jobs ended, kept for as long as their results are, whatever becomes of their records.
--
-- {name}:slots        zset  when it expires -> a slot's key
-- {name}:ends:<slot>  hash  id -> "<JSON of the end>" and, if there is a result, "\n<result>"
-- {name}:interim      set   ids of unfinished jobs that have an end there: the error of an earlier attempt
-- {name}:order        list  ids in the order of their ends; history is cut at its head
-- {name}:attempts:<id>  list  JSON of the attempts that did not end well
-- {name}:logs:<id>    hash  attempt -> JSON of what it logged
-- {name}:chord:<chord>  hash  position -> value of a member that has ended; one that runs twice counts once
-- {name}:callbacks    hash  id of a chord's callback -> chord

-- The slots that may hold an end, the latest first. `call` may be `try`.
local function slots(call)
    return (call or redis.call)('ZREVRANGE', key('slots'), 0, -1) or {}
end

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

-- The slot for what ends now and is kept for `ttl` seconds ('': for ever), and when all in it has been kept for long
-- enough: slots are a quarter of that wide.
local function slot_of(kind, ttl, moment)
    if ttl == '' then
        return key('ends', kind)
    end
    local width = math.max(tonumber(ttl) / 4, 1)
    local number = math.floor(tonumber(moment) / width)
    local slot = key('ends', kind .. ':' .. string.format('%.0f', number) .. ':' .. ttl)
    return slot, math.ceil((number + 1) * width + tonumber(ttl))
end

-- The same slot, listed, and when it is to go by itself, if nobody tidies up, which holds the server up less.
local function slot_for(kind, ttl, moment)
    local slot, over = slot_of(kind, ttl, moment)
    if not try('ZSCORE', key('slots'), slot) then
        try('ZADD', key('slots'), over or '+inf', slot)
    end
    return slot, over and over + 3600
end

local function drop_end(id)
    for _, slot in ipairs(slots(try)) do
        try('HDEL', slot, id)
    end
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

-- Delete all that is known of jobs, but how they ended; `ids` are not waiting and not held.
local function forget(ids)
    if #ids == 0 then
        return
    end
    for _, state in ipairs(ENDED) do
        many('ZREM', key('ended', state), ids, try)
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
    for start = 1, #ids, MOST do
        local kin = {}
        for i = start, math.min(start + MOST - 1, #ids) do
            kin[#kin + 1] = key('kin', ids[i])
        end
        redis.call('UNLINK', unpack(kin))
    end
    many('HDEL', key('jobs'), ids)
end
