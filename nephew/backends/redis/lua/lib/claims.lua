-- What a worker holds, and what it is told of it; `job` comes before.

local function hold(worker, claim, ids)
    local claims = {}
    for i, id in ipairs(ids) do
        claims[2 * i - 1], claims[2 * i] = id, claim
    end
    many('HSET', key('held', worker), claims)
end

-- The ids of what a worker holds by this claim.
local function held_by(worker, claim)
    local ids, held = {}, redis.call('HGETALL', key('held', worker))
    for i = 1, #held, 2 do
        if held[i + 1] == claim then
            ids[#ids + 1] = held[i]
        end
    end
    return ids
end

-- A job's place, as text.
local function place_of(id)
    local record = redis.call('HGET', key('jobs'), id)
    return record and string.match(record, '^(%d+) ') or '0'
end

-- The id of the job that a worker holds at this place by this claim; nil when it holds none.
local function held_at(worker, place, claim)
    for _, id in ipairs(held_by(worker, claim)) do
        if place_of(id) == place then
            return id
        end
    end
    return nil
end

-- What a worker has to know of the jobs that it claims: 1 if there are revocations, and 2 for each id without a
-- record; then for each job id, record, marks and why its end was asked for. And the ids of those jobs.
local function told_of(ids)
    local records = read(key('jobs'), ids)
    local marks = redis.call('EXISTS', key('marks')) == 1 and read(key('marks'), ids, try) or {}
    local stops = redis.call('EXISTS', key('stops')) == 1 and read(key('stops'), ids, try) or {}
    local reply, known = {math.min(try('HLEN', key('revoked')) or 0, 1)}, {}
    for i, id in ipairs(ids) do
        if records[i] then
            known[#known + 1] = id
            reply[#reply + 1] = id
            reply[#reply + 1] = records[i]
            reply[#reply + 1] = marks[i] or ''
            reply[#reply + 1] = stops[i] or ''
        else
            reply[1] = reply[1] + 2
        end
    end
    return reply, known
end
