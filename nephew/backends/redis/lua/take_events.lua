-- The next batch of events for a consumer of a group, which nobody else of the group gets.
--
-- ARGV: group, consumer, milliseconds after which a batch that was not acknowledged is given to another, '1' if those
-- that this consumer itself has not acknowledged are meant, else ''.
-- Returns id, when, events; nothing when there is none.
-- Writes events.

local group, consumer, idle, stream = ARGV[1], ARGV[2], ARGV[3], key('events')

-- Entries that were cut while somebody had them have no values any more.
local function whole(entries)
    for _, entry in ipairs(entries) do
        if entry and entry[2] and #entry[2] > 0 then
            return {entry[1], entry[2][2], entry[2][4]}
        elseif entry then
            redis.call('XACK', stream, group, entry[1])
        end
    end
    return nil
end

local function read(from)
    while true do
        local reply = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', 1, 'STREAMS', stream, from)
        if not reply or #reply[1][2] == 0 then
            return nil
        end
        local found = whole(reply[1][2])
        if found then
            return found
        end
    end
end

if ARGV[4] == '1' then
    return read('0') or {}
end
return whole(redis.call('XAUTOCLAIM', stream, group, consumer, idle, '0', 'COUNT', 1)[2]) or read('>') or {}
