--! uses slots
-- What every settle does with the claims that hold.

-- What an end and what follows cannot do without: if it is of the wrong type, nothing is written.
local function need_for_ends(ttl, ttl_others)
    local moment = now()
    redis.call('HLEN', key('jobs'))
    redis.call('HLEN', (slot_of('s', ttl, moment)))
    redis.call('HLEN', (slot_of('o', ttl_others, moment)))
end

local function begun_no_longer(ids)
    if redis.call('EXISTS', key('running'), key('once')) > 0 then
        many('HDEL', key('running'), ids, try)
        many('SREM', key('once'), ids, try)
    end
end

local function forget_revocations(ids)
    if redis.call('EXISTS', key('revoked')) == 0 then
        return
    end
    local revocations = {}
    for i, id in ipairs(ids) do
        revocations[i] = 'r:' .. id
    end
    many('HDEL', key('revoked'), revocations, try)
end

-- Keep how jobs ended; `ends` by kind (`s` for those that succeeded, `o` for others): id, body, id, body …
local function write_ends(ends, ttl, ttl_others)
    for kind, bodies in pairs(ends) do
        local slot, over_at = slot_for(kind, kind == 's' and ttl or ttl_others, now())
        many('HSET', slot, bodies)
        if over_at then
            redis.call('EXPIREAT', slot, over_at)
        end
    end
end
