-- What happened, for those who follow it live and for the archive.
--
-- {name}:event   string  the number of the latest event
-- {name}:events  stream  one entry a batch, <number of its last event>-0: `at`, when, and `of`, the events as JSON
--                        arrays with commas between them: id, task, state, worker, error
-- {name}:awaited  set    ids whose end somebody waits for; told of by `ended`; expires
-- {name}:followed string  there while somebody wants to be told of every event by `ended`; expires

-- That a job is in this state now; `worker` and `cause` may be nil.
local function happened(id, state, worker, cause)
    local _, _, _, _, head = standing(id)
    local words = {id, head and head[1] or '', state, worker or cjson.null, cause or cjson.null}
    return cjson.encode(words)
end

local function tell_events(events, most, moment)
    if #events == 0 then
        return
    end
    local number = try('INCRBY', key('event'), #events)
    if not number then
        return
    end
    local oldest = math.max(number - tonumber(most), 0)
    try('XADD', key('events'), 'MINID', '~', string.format('%.0f-0', oldest),
        string.format('%.0f-0', number), 'at', moment, 'of', table.concat(events, ','))
    if redis.call('EXISTS', key('followed')) == 1 then
        tell('ended')
    end
end

-- Wake those who wait for the end of one of these jobs.
local function tell_waiting(ids)
    if #ids > 0 and redis.call('EXISTS', key('awaited')) == 1 and many('SREM', key('awaited'), ids, try) ~= 0 then
        tell('ended')
    end
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
    local old, gone = redis.call('LPOP', key('order'), excess), {}
    for _, id in ipairs(old) do
        if ended_as(id, try) then  -- it may have been put back into the queue since, or deleted
            gone[#gone + 1] = id
        end
    end
    forget(gone)
end
