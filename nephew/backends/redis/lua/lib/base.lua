-- What every script begins with. KEYS[1] is the instance's hash tag, `{name}`; every key of the instance is
-- `{name}:` and a word, so that all of them are in one slot of a cluster.

-- The last value in ARGV is a time: a step that comes later is not done. Whoever sent it has given it up and sent it
-- anew, and what that one did may be over by now.
local deadline = tonumber(table.remove(ARGV))
local server, redis = redis, {}
local clock = server.call('TIME')
if clock[1] + clock[2] / 1e6 > deadline then
    return server.error_reply('LATE step')
end

local function key(word, more)
    if more then
        return KEYS[1] .. ':' .. word .. ':' .. more
    end
    return KEYS[1] .. ':' .. word
end

-- A call that fails names its key, which the server does not.
function redis.call(...)
    local reply = server.pcall(...)
    if type(reply) == 'table' and reply.err then
        error(reply.err .. ' [' .. tostring((select(2, ...))) .. ']', 0)
    end
    return reply
end

-- A call that a script can do without: nil, when a key of the wrong type is in its way. That is noted in
-- {name}:broken (set), for a consumer to report; the heads of scripts do not name that again.
local function try(...)
    local reply = server.pcall(...)
    if type(reply) ~= 'table' or not reply.err then
        return reply
    elseif not string.find(reply.err, '^WRONGTYPE') and not string.find(reply.err, '^ERR')
        and not string.find(reply.err, '^NOPERM') then
        error(reply.err, 0)
    end
    server.pcall('SADD', key('broken'), (select(2, ...)))
    return nil
end

-- Epoch seconds by the server's clock, as text that loses nothing.
local function now()
    return clock[1] .. '.' .. string.format('%06d', clock[2])
end

-- The most values that one call is given: Lua passes them on its stack.
local MOST = 4000

-- A call with any number of values behind its first ones, in pairs or singly; the replies' sum. `call` may be `try`;
-- then it is nil when a key is in the way.
local function many(command, first, values, call)
    local sum = 0
    for start = 1, #values, MOST do
        local reply = (call or redis.call)(command, first, unpack(values, start, math.min(start + MOST - 1, #values)))
        if not reply then
            return nil
        end
        sum = sum + reply
    end
    return sum
end

-- What a hash has under these fields; false for what it has not. `call` may be `try`; then it may have nothing.
local function read(hash, fields, call)
    if #fields > 0 and #fields <= MOST then
        return (call or redis.call)('HMGET', hash, unpack(fields)) or {}
    end
    local found = {}
    for start = 1, #fields, MOST do
        local last = math.min(start + MOST - 1, #fields)
        local part = (call or redis.call)('HMGET', hash, unpack(fields, start, last)) or {}
        for i = start, last do
            found[i] = part[i - start + 1] or false
        end
    end
    return found
end

-- Wake one idle worker that serves one of these queues.
-- {name}:bell          list  one token at most, for the next worker that serves all queues and waits
-- {name}:bell:<queue>  list  the same for those that serve only some
-- {name}:narrow        set   the queues that some workers restrict themselves to
local function ring(queues)
    if #queues == 0 then
        return
    end
    if try('LLEN', key('bell')) == 0 then
        try('LPUSH', key('bell'), queues[1])
    end
    if redis.call('EXISTS', key('narrow')) == 0 then
        return
    end
    for _, queue in ipairs(queues) do
        if try('SISMEMBER', key('narrow'), queue) == 1 and try('LLEN', key('bell', queue)) == 0 then
            try('LPUSH', key('bell', queue), queue)
        end
    end
end

-- Tell a channel that something has happened. A user that may not do so works all the same: whoever listens also looks.
local function tell(channel)
    server.pcall('PUBLISH', key(channel), '')
end

-- Tell consumers that the schedule has changed.
local function tell_schedule()
    tell('wake')
end
