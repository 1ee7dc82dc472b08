--! uses claims, events, workers
-- Claims whose functions are being run.

-- Note since when; the event, if it was not known to run.
local function begin(worker, id, since)
    local known = try('HDEL', key('running'), id) == 1  -- first, so that a full server lets the rest through
    try('HSET', key('running'), id, since)
    return not known and happened(id, 'running', label_of(worker)) or nil
end
