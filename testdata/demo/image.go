package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math/rand/v2"
)

const (
	mib     = 1 << 20
	cluster = 64 << 10
)

// noise is data that does not compress, the same for the same seed.
func noise(seed byte, size int) []byte {
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

// rawDisk is a disk of size bytes with an MBR: one Linux partition from 1 MiB on.
func rawDisk(seed byte, size int) []byte {
	disk := noise(seed, size)
	clear(disk[:mib])
	copy(disk, "\xfa\xf4\xeb\xfd") // cli; hlt; and stay there
	partition := disk[446:462]
	partition[0], partition[4] = 0x80, 0x83 // active, Linux
	binary.LittleEndian.PutUint32(partition[8:], mib/512)
	binary.LittleEndian.PutUint32(partition[12:], uint32(size-mib)/512)
	disk[510], disk[511] = 0x55, 0xaa
	return disk
}

// gzipped is a raw disk as it is often shipped.
func gzipped(disk []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(disk) // into memory: cannot fail
	w.Close()
	return out.Bytes()
}

// qcow2 is a disk as a qcow2 image, version 2, that qemu-img check finds
// nothing to say about: header, reference count table and block, L1 table, L2
// table, and the data, a cluster each and all of them allocated. The disk is at
// most 512 MiB, so that one L2 table does.
func qcow2(disk []byte) []byte {
	const refTable, refBlock, l1, l2, data = 1 * cluster, 2 * cluster, 3 * cluster, 4 * cluster, 5 * cluster
	const used = 1 << 63 // the entry's cluster has a reference count of one
	n := (len(disk) + cluster - 1) / cluster
	image := make([]byte, data+n*cluster)
	be := binary.BigEndian

	copy(image, "QFI\xfb")
	be.PutUint32(image[4:], 2)   // version
	be.PutUint32(image[20:], 16) // cluster_bits
	be.PutUint64(image[24:], uint64(len(disk)))
	be.PutUint32(image[36:], 1) // l1_size
	be.PutUint64(image[40:], l1)
	be.PutUint64(image[48:], refTable)
	be.PutUint32(image[56:], 1) // refcount_table_clusters

	be.PutUint64(image[refTable:], refBlock)
	for i := range data/cluster + n {
		be.PutUint16(image[refBlock+2*i:], 1)
	}
	be.PutUint64(image[l1:], l2|used)
	for i := range n {
		be.PutUint64(image[l2+8*i:], uint64(data+i*cluster)|used)
	}
	copy(image[data:], disk)
	return image
}
