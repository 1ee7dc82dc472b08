-- Where it is kept how jobs ended: in slots, each for what ended in a while.
--
-- {name}:slots        zset  when it expires -> a slot's key
-- {name}:ends:<slot>  hash  id -> "<JSON of the end>" and, if there is a result, "\n<result>"

-- The slots that may hold an end, the latest first. `call` may be `try`.
local function slots(call)
    return (call or redis.call)('ZREVRANGE', key('slots'), 0, -1) or {}
end

-- The slot for what ends now and is kept for `ttl` seconds ('': for ever), and when all in it has been kept for long
-- enough: slots are a quarter of that wide.
local function slot_of(kind, ttl, moment)
    if ttl == '' then
        return key('ends', kind)
    end
    local width = math.max(tonumber(ttl) / 4, 1)
    local number = math.floor(tonumber(moment) / width)
    local slot = key('ends', kind .. ':' .. string.format('%.0f', number) .. ':' .. ttl)
    return slot, math.ceil((number + 1) * width + tonumber(ttl))
end

-- The same slot, listed, and when it is to go by itself, if nobody tidies up, which holds the server up less.
local function slot_for(kind, ttl, moment)
    local slot, over = slot_of(kind, ttl, moment)
    if not try('ZSCORE', key('slots'), slot) then
        try('ZADD', key('slots'), over or '+inf', slot)
    end
    return slot, over and over + 3600
end

local function drop_end(id)
    for _, slot in ipairs(slots(try)) do
        try('HDEL', slot, id)
    end
end
