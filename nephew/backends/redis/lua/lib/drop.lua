--! uses job, ends
-- Delete jobs that are neither waiting nor held, with all that belongs to them.
local function drop(ids)
    if #ids == 0 then
        return
    end
    local revocations = {}
    for i, record in ipairs(read(key('jobs'), ids)) do
        local _, _, _, head = parts(record or '')
        local chord = head and head[6]
        if type(chord) == 'string' then
            redis.call('UNLINK', key('chord', chord))
        end
        redis.call('UNLINK', key('kin', ids[i]))
        revocations[i] = 'r:' .. ids[i]
    end
    for _, slot in ipairs(slots()) do
        many('HDEL', slot, ids)
    end
    many('HDEL', key('revoked'), revocations)
    many('ZREM', key('data_until'), revocations)
    forget(ids)
end
