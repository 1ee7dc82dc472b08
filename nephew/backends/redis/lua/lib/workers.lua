--! uses claims
-- The registrations of workers.
--
-- {name}:workers       hash    number -> JSON of its registration, `started_at` by the server's clock
-- {name}:incarnations  hash    incarnation -> number
-- {name}:beats         hash    number -> when it was last heard of
-- {name}:settled       hash    number -> its last settle and what it was answered
-- {name}:taken         hash    number -> the latest claim of its own by which it took jobs
-- {name}:worker        string  the last number that was given

-- Whose are jobs that nobody may begin again and that nobody has ended yet.
local NOBODY = '0'

local function is_known(worker)
    return redis.call('HEXISTS', key('workers'), worker) == 1
end

local function registration(worker)
    return cjson.decode(redis.call('HGET', key('workers'), worker))
end

-- Where a worker's jobs run, as attempts and events name it.
local function label_of(worker)
    if not is_known(worker) then
        return 'worker ' .. worker
    end
    local of = registration(worker)
    return of.host .. ':' .. string.format('%.0f', of.pid)
end

-- End a worker's registration; what it held, ids and claims in turn, is nobody's then.
local function sign_off(worker)
    local held = redis.call('HGETALL', key('held', worker))
    try('HDEL', key('incarnations'), registration(worker).incarnation)
    for _, word in ipairs({'workers', 'beats', 'settled', 'taken'}) do
        try('HDEL', key(word), worker)
    end
    redis.call('DEL', key('held', worker))
    return held
end

local function is_once(id)
    return try('SISMEMBER', key('once'), id) == 1
end

-- What an heir is told of the jobs that it has to end, and which of them may begin only once.
local function inherited(ids)
    local once = {}
    for _, id in ipairs(ids) do
        if is_once(id) then
            once[#once + 1] = id
        end
    end
    local reply = told_of(ids)
    return {reply, once}
end
