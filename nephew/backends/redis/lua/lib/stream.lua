--! uses ends
-- What happened, for those who follow it live and for the archive.
--
-- {name}:event   string  the number of the latest event
-- {name}:events  stream  one entry a batch, <number of its last event>-0: `at`, when, and `of`, the events as JSON
--                        arrays with commas between them: id (or an array of ids, of as many events that say the same
--                        of each), task, state, worker, error
-- {name}:awaited  set    ids whose end somebody waits for; told of by `ended`; expires
-- {name}:expected set    ids whose end somebody waits for who has nothing else to do; expires
-- {name}:told:<id> list  one word, once such a job has ended: see `end_told`; expires
-- {name}:followed string  there while somebody wants to be told of every event by `ended`; expires

-- Note what happened; `count`: how many events these texts are, if not one each.
local function tell_events(events, most, moment, count)
    count = count or #events
    if count == 0 then
        return
    end
    local number = try('INCRBY', key('event'), count)
    if not number then
        return
    end
    local oldest = math.max(number - tonumber(most), 0)
    try('XADD', key('events'), 'MINID', '~', string.format('%.0f-0', oldest),
        string.format('%.0f-0', number), 'at', moment, 'of', events[2] and table.concat(events, ',') or events[1])
    if redis.call('EXISTS', key('followed')) == 1 then
        tell('ended')
    end
end

-- How a job ended, as those are told who expect it: what is kept of its end, or '' where that is too long or nothing.
local SHORT = 4096
local function end_told(id)
    local kept = end_of(id) or ''
    return #kept <= SHORT and kept or ''
end

-- Wake those who wait for the end of one of these jobs.
local function tell_waiting(ids)
    if #ids == 0 or redis.call('EXISTS', key('awaited'), key('expected')) == 0 then
        return
    end
    if many('SREM', key('awaited'), ids, try) ~= 0 then
        tell('ended')
    end
    for _, id in ipairs(ids) do
        if try('SREM', key('expected'), id) == 1 then
            try('LPUSH', key('told', id), end_told(id))
            redis.call('EXPIRE', key('told', id), 1)
        end
    end
end
