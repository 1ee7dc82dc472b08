-- What a worker holds, and what it is told of it.

-- A small hash is a list to the server, which is gone through for each field; one long value makes it a table.
local MANY, LONG = 16, string.rep('-', 65)

local function hold(worker, claim, ids)
    local claims, held = {}, key('held', worker)
    for i, id in ipairs(ids) do
        claims[2 * i - 1], claims[2 * i] = id, claim
    end
    if #ids >= MANY then
        redis.call('HSET', held, LONG, '')
        many('HSET', held, claims)
        redis.call('HDEL', held, LONG)
    else
        many('HSET', held, claims)
    end
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

-- What a worker has to know of the jobs that it claims: 1 if there are revocations, 1 if they are in order, how many
-- ids have no record, what few jobs have (which job, its marks, why its end was asked for), then each id and its
-- record. And the ids of those jobs.
local function told_of(ids, ordered)
    local records, marks, stops, revoked = read(key('jobs'), ids), {}, {}, 0
    if redis.call('EXISTS', key('marks'), key('stops'), key('revoked')) > 0 then
        marks, stops = read(key('marks'), ids, try), read(key('stops'), ids, try)
        revoked = math.min(try('HLEN', key('revoked')) or 0, 1)
    end
    local known, more = {}, {}
    local reply = {revoked, ordered and 1 or 0, 0, more}
    for i, id in ipairs(ids) do
        if records[i] then
            known[#known + 1] = id
            reply[#reply + 1] = id
            reply[#reply + 1] = records[i]
            if marks[i] or stops[i] then
                more[#more + 1] = #known - 1
                more[#more + 1] = marks[i] or ''
                more[#more + 1] = stops[i] or ''
            end
        else
            reply[3] = reply[3] + 1
        end
    end
    return reply, known
end
