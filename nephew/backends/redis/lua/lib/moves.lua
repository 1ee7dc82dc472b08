--! uses job
-- How a job that waits changes its place.

-- Where a job waits; nil when it does not.
local function waits_in(id)
    local place, queue = standing(id)
    if not place then
        return nil
    end
    if try('ZSCORE', key('q', queue), ticket(place, id)) then
        return 'queued'
    end
    for _, word in ipairs({'scheduled', 'retrying', 'parked'}) do
        if try('ZSCORE', key(word), id) then
            return word
        end
    end
    return nil
end

-- Let a job wait in this state: at its own place, or for its own time.
local function wait_as(id, state)
    local place, queue, priority, marks, head = standing(id)
    if not place then
        return
    elseif state == 'queued' then
        line_up(id, place, queue, priority)
    elseif state == 'parked' then
        try('ZADD', key('parked'), place, id)
    else
        local eta = marks.eta or head[4]
        wait_until(tonumber(eta) or now(), state, id)
    end
end

-- Let a job wait in its queue behind all that are there.
local function to_the_back(id)
    local place, queue, priority = standing(id)
    if not place then
        return
    elseif place > 0 then  -- bytes that are no record have no place to be changed
        place = try('INCR', key('place')) or place
        local rest = string.match(redis.call('HGET', key('jobs'), id), ' .*')
        redis.call('HSET', key('jobs'), id, string.format('%.0f', place) .. rest)
    end
    line_up(id, place, queue, priority)
end

-- Let a job that was held wait again where it was taken from; one that had begun, in its queue. Whether it had, and
-- the state that it is in now.
local function give_back(id)
    local begun, marks = try('HDEL', key('running'), id) == 1, marks_of(id)
    local state = not begun and marks.was or 'queued'
    if marks.was then
        marks.was = nil
        write_marks(id, marks)
    end
    wait_as(id, state)
    return begun, state
end
