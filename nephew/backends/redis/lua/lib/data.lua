--! uses ends
-- Values under keys of the user's and of Huey's, and results of jobs among them.
--
-- {name}:data        hash  key -> value
-- {name}:revoked     hash  the same of revocations: keys `r:<job>` and `rt:<task>`, which every claim looks for
-- {name}:data_until  zset  when it expires -> key

local function home(name)
    local revokes = string.sub(name, 1, 2) == 'r:' or string.sub(name, 1, 3) == 'rt:'
    return key(revokes and 'revoked' or 'data')
end

local function is_over(name)
    local over = try('ZSCORE', key('data_until'), name)
    return over and tonumber(over) <= tonumber(now())
end

local function datum(name)
    return not is_over(name) and try('HGET', home(name), name) or false
end

local function drop_datum(name)
    redis.call('HDEL', home(name), name)
    redis.call('ZREM', key('data_until'), name)
end

-- A job's result; false when it has none, or it is not kept.
local function result_of(id)
    local kept = end_of(id)
    local line = kept and string.find(kept, '\n', 1, true)
    return line and string.sub(kept, line + 1) or false
end

-- Take a result out of what is kept of the job's end.
local function take_result(id)
    local kept, slot = end_of(id)
    local line = kept and string.find(kept, '\n', 1, true)
    if not line then
        return false
    end
    redis.call('HDEL', slot, id)  -- first: a full server lets a script write that has freed something
    redis.call('HSET', slot, id, string.sub(kept, 1, line - 1))
    return string.sub(kept, line + 1)
end
