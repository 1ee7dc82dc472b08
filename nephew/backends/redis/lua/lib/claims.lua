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

-- Those of some ids that have a record, these records, and how many have none.
local function recorded(ids)
    local records, missing = read(key('jobs'), ids), 0
    for i = 1, #ids do
        missing = missing + (records[i] and 0 or 1)
    end
    if missing == 0 then
        return ids, records, 0
    end
    local known, found = {}, {}
    for i, id in ipairs(ids) do
        if records[i] then
            known[#known + 1], found[#found + 1] = id, records[i]
        end
    end
    return known, found, missing
end

-- What a worker has to know of the jobs that it claims: 1 if there are revocations, 1 if they are in order, how many
-- ids have no record, what few jobs have (which job, its marks, why its end was asked for), then the ids and their
-- records. And those ids.
local function told_of(ids, ordered)
    local known, records, missing = recorded(ids)
    local more, revoked = {}, 0
    if redis.call('EXISTS', key('marks'), key('stops'), key('revoked')) > 0 then
        local marks, stops = read(key('marks'), known, try), read(key('stops'), known, try)
        for i = 1, #known do
            if marks[i] or stops[i] then
                more[#more + 1] = i - 1
                more[#more + 1] = marks[i] or ''
                more[#more + 1] = stops[i] or ''
            end
        end
        revoked = math.min(try('HLEN', key('revoked')) or 0, 1)
    end
    return {revoked, ordered and 1 or 0, missing, more, known, records}, known
end
