-- Claims whose functions are being run; `job`, `claims` and `events` come before.

-- Note since when; the event, if it was not known to run.
local function begin(id, since)
    local known = try('HDEL', key('running'), id) == 1  -- first, so that a full server lets the rest through
    try('HSET', key('running'), id, since)
    if known then
        return nil
    end
    local _, _, _, _, head = standing(id)
    return '[' .. cjson.encode(id) .. ',' .. cjson.encode(head[1] or '') .. ',"running",null,null]'
end
