--! uses job, ends, archive
-- What the archive needs of jobs beside their rows.
--
-- ARGV: how many bytes of records to stop behind, then ids.
-- Returns for each job, in order, up to those bytes: what tells its end from another one, its attempts, its logs
-- (attempt, JSON …); 'alive' when it has not ended; 'deleted'; 'cut' when its record is gone and its end is still
-- known; 'unknown'.
-- Reads jobs, marks, ended:<state>, slots, ends:<slot>, attempts:<id>, logs:<id>, deleted.

local most, ids = tonumber(ARGV[1]), {}
for i = 2, #ARGV do
    ids[i - 1] = ARGV[i]
end

local function word_for(id)
    if redis.call('HEXISTS', key('jobs'), id) == 1 then
        return 'alive'
    elseif redis.call('SISMEMBER', key('deleted'), id) == 1 then
        return 'deleted'
    end
    return end_of(id) and 'cut' or 'unknown'
end

local signs, sizes = signs_of(ids)
local marks = redis.call('EXISTS', key('marks')) == 1 and read(key('marks'), ids) or {}
local found, bytes = {}, 0
for i, id in ipairs(ids) do
    if bytes > most then
        break
    end
    bytes = bytes + sizes[i]
    if not signs[i] then
        found[i] = {word_for(id)}
    elseif marks[i] and string.find(marks[i], '"kept":true', 1, true) then
        found[i] = {
            signs[i], redis.call('LRANGE', key('attempts', id), 0, -1), redis.call('HGETALL', key('logs', id)),
        }
    else
        found[i] = {signs[i], {}, {}}
    end
end
return found
